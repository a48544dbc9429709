#pragma once

#include <functional>
#include <memory>
#include <string>

#include "pod/children.hh"
#include "pod/core.hh"
#include "pod/poke_socket.hh"
#include "tools/tool.hh"

namespace insomnia::pod {

/// SendToPod, ReadPodOutput, StopPod and ListPods for this Pod's model. Answers exactly once each; destroying the object silences what is
/// still under way.
class ChildTools {
 public:
  using Done = std::function<void(tools::Output)>;
  ChildTools(PodCore& core, Children& children, PokeSender& poke_sender);
  ~ChildTools();

  void send(std::string_view arguments, Done done);
  void read_output(std::string_view arguments, Done done);
  void stop(std::string_view arguments, Done done);
  void list(Done done);
  /// The list of visible Pods as JSON text, for the method list_pods as well: this one, all that it knows below it, and the last of its own
  /// children that have ended.
  void list_json(std::function<void(std::string)> done);

 private:
  struct Listing;
  void probe(std::shared_ptr<Listing> const& listing, std::string const& name, std::string const& socket);
  void read_stored(std::string const& name, std::string const& pod_id, Done done);
  tools::Output new_text(std::string const& name, std::string const& pod_id, std::string const& segment, std::vector<std::string> const& lines,
                         std::string const& state);
  uint64_t keep(std::unique_ptr<client::OneShot> call);

  PodCore& core_;
  Children& children_;
  PokeSender& poke_sender_;
  std::map<uint64_t, std::unique_ptr<client::OneShot>> calls_;
  uint64_t next_call_ = 1;
  /// Where ReadPodOutput stopped in the sessions of children that have ended: pod_id -> {segment, index}.
  std::map<std::string, std::pair<std::string, uint64_t>> ended_cursors_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace insomnia::pod

#pragma once

#include <optional>
#include <string>

#include "base/paths.hh"
#include "pod/hand_over.hh"
#include "registry/registry.hh"

/// To whom a Pod reports when the one that spawned it is gone for good (DESIGN "Messages between Pods"). All blocking.
namespace insomnia::pod {

/// Whether mail for this Pod will be read: it lives, or it can be brought back.
bool will_read_mail(Paths const& paths, ParentLink const& pod);

/// The nearest Pod above that will: the living one below which the registry has this Pod by now, else the nearest above `parent` by what is
/// stored. Nothing: nobody is left.
std::optional<ParentLink> report_receiver(Paths const& paths, registry::Registry& registry, std::string const& own_pod_id, ParentLink const& parent);

}  // namespace insomnia::pod

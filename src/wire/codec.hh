#pragma once

#include <boost/json/fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hh"
#include "base/json.hh"
#include "scope/rule.hh"
#include "wire/item.hh"
#include "wire/json_writer.hh"
#include "wire/log_entry.hh"
#include "wire/permission.hh"
#include "wire/pod_event.hh"
#include "wire/segment.hh"

/// Pieces that several messages share. For the .cc files of this folder; everybody else uses encode_* and decode_*.
namespace insomnia::wire::codec {

/// Makes the failure of a nested reader the failure of the outer one.
void absorb(json::Reader& outer, Result<void> const& nested);

void write_segments(ObjectWriter& writer, std::string_view key, Segments const& segments);
/// Absent is an error.
Segments read_segments(json::Reader& reader, std::string_view key);

void write_rules(ObjectWriter& writer, std::string_view key, std::vector<scope::ScopeRule> const& rules);
/// Absent is empty.
std::vector<scope::ScopeRule> read_rules(json::Reader& reader, std::string_view key);

void write_pod_event(std::string& out, PodEvent const& event);
Result<PodEvent> read_pod_event(boost::json::object const& object, std::string where);

void write_permission_request(ObjectWriter& writer, PermissionRequest const& request);
PermissionRequest read_permission_request(json::Reader& reader);
void write_permission_answer(ObjectWriter& writer, PermissionAnswer const& answer);
PermissionAnswer read_permission_answer(json::Reader& reader);
void write_permission_closed(ObjectWriter& writer, PermissionClosed const& closed);
PermissionClosed read_permission_closed(json::Reader& reader);

void write_item(std::string& out, Item const& item);
/// An item of a kind that this version does not know has no value.
Result<std::optional<Item>> read_item(boost::json::object const& object, std::string where);

void write_system_item(std::string& out, SystemItem const& item);
Result<SystemItem> read_system_item(boost::json::object const& object, std::string where);

}  // namespace insomnia::wire::codec

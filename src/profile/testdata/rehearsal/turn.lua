-- The reply of turn.stream.jsonl to turn.request.json.
return function(conversation)
  return {
    think("The user wants " .. conversation.last_user),
    pace { chunk_bytes = 8 },
    say("I look at\nboth."),
    calls { { "Read", { file_path = "/p/a.cc", limit = 10 } }, { "Bash", { command = "make test" } } },
  }
end

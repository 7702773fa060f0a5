"""specacts: speculative execution of agent actions, from traces to a policy you can deploy."""

"""One decider per DSO, reached over the network."""

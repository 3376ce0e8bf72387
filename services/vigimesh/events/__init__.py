"""What travels on the topics: event classes, envelope, codec and the one table of topics."""

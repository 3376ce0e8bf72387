"""vigimesh.retriever."""

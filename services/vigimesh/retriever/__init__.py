"""The retriever: looks up for each case what its plan asks."""

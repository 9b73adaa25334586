"""Search by meaning, and answers: embeddings of what users store, found with a vector index of the table."""

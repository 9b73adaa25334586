"""Amazon Bedrock's runtime: embeddings and conversations, answered by a model on this machine."""

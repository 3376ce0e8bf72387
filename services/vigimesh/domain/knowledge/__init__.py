"""What the mesh looks up: reference documents, their passages, and how a question is put to them."""

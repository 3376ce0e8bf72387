"""vigimesh: a Kafka mesh that decides how urgent a safety case is, how cheaply it is done well, and who must look."""

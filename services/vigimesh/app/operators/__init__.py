"""What an operator's command does, and the record of it that an auditor reads."""

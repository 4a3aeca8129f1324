"""The stress benchmark that users run."""

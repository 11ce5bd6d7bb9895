"""What has to run to be known: torch modules in, records out."""

"""What every process of ours is, whatever its job: a command with options, a log, gunicorn's settings."""

"""What everything else stands on: reasons, records, settings, the log, the real tools. Imports nothing of ours."""

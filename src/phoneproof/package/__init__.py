"""The bundle that ships: artifacts, golden vectors, report, model card."""

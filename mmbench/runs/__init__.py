"""The files that a run leaves: records, provenance and the manifest, and how runs are verified and compared."""

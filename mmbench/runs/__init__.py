"""What a run leaves behind: records, provenance, the manifest, and how two runs are verified and compared."""

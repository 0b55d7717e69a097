"""Volumes: directories that outlive containers, kept below the data root or mounted there from elsewhere."""

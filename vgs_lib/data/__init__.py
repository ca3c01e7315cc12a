"""Spoken Stamps, described things and manifests: what is obtained, built, read and checked."""

"""Identity and access management: signatures, issued keys and policies."""

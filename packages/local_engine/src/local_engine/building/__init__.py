"""What functions import: their own packages, built layers and Lambda's runtime, without the engine's packages."""

"""Names that operators type and that several rooms must agree on; they never change."""

from __future__ import annotations

GENERATED = "kubernaut-toolset-config"
"""The generated ConfigMap, in each namespace where something was discovered."""

GENERATED_KEYS = ("custom_toolset.yaml", "toolset.json", "services.yaml")
"""Its keys that are ours; any other one in it is somebody else's."""

OVERRIDES = "kubernaut-toolset-overrides"
"""The ConfigMap that people write, in the service's own namespace."""

OVERRIDES_KEY = "overrides.yaml"

CONFIG = "kubernaut-dynamic-toolset-config"
"""The service's configuration, in its own namespace, key ``config.yaml``."""

FIELD_MANAGER = "kubernaut-dynamic-toolsets"
"""The manager that ``.metadata.managedFields`` names for what the service writes; the runbook prints it."""

HOLD_UNTIL = "kubernaut.io/hold-until"
"""Annotation of a generated ConfigMap: until then (RFC 3339) the service leaves it as it is."""

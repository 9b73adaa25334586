"""Other valid values of the template's parameters."""

from tests.support.stack import load_template

PARAMETERS = load_template()["Parameters"]
# Another valid value of each parameter that has no AllowedValues and is not a number.
OTHER_TEXTS = {
    "AllowedOrigin": "https://other.example.com",
    "Issuer": "https://issuer.example.com/",
    "Audience": "api",
    "EnrichmentUrl": "https://enrich.example.com/",
    "AlarmEmail": "operator@example.com",
    "AllowedRegions": "us-east-1,eu-central-1",
}


def choose_other(name):
    """Return valid values of a parameter other than its default: all allowed values, or one."""
    parameter = PARAMETERS[name]
    if "AllowedValues" in parameter:
        return [str(value) for value in parameter["AllowedValues"] if value != parameter["Default"]]
    if parameter["Type"] == "Number":
        return [str(min(parameter["Default"] + 1, parameter["MaxValue"]))]
    return [OTHER_TEXTS[name]]


def give(name, value):
    """Return parameters without and with another value of one. `Issuer` and `Audience` need each other."""
    issuer = {"Issuer": OTHER_TEXTS["Issuer"], "Audience": "others"}
    before = issuer if name == "Audience" else {}
    return before, (issuer if name in issuer else {}) | {name: value}

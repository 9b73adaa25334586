import pytest

from tests.support.gateway import import_functions


@pytest.mark.parametrize("value", [None, ""], ids=["absent", "empty"])
@pytest.mark.parametrize("name", ["TABLE_NAME", "POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE"])
def test_a_missing_setting_is_named(name, value):
    with pytest.raises(Exception, match=f"{name} is not set") as failure, import_functions({name: value}):
        pass
    assert type(failure.value).__name__ == "SettingError"


@pytest.mark.parametrize("sam_local", [None, "", "false", "1", "TRUE"])
def test_a_function_with_introspection_outside_sam_local_does_not_start(sam_local):
    settings = {"TOKEN_INTROSPECTION_URL": "https://issuer.example.com/introspect", "AWS_SAM_LOCAL": sam_local}
    with pytest.raises(Exception, match="TOKEN_INTROSPECTION_URL") as failure, import_functions(settings):
        pass
    assert type(failure.value).__name__ == "SettingError"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRACES", "yes"),
        ("DEBUG_SAMPLE_RATE", "1.5"),
        ("DEBUG_SAMPLE_RATE", "often"),
        ("CALLER_IN_LOGS", "no"),
        ("POWERTOOLS_LOG_LEVEL", "loud"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_its_value(name, value):
    with pytest.raises(Exception, match=f"{name} must be .*{value}") as failure, import_functions({name: value}):
        pass
    assert type(failure.value).__name__ == "SettingError"

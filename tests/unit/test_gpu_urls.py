"""Where the GPU processes are: what the setting may say, and what is refused."""

import pytest

from penstock.gpu_urls import MAX_LENGTH, GpuUrls
from penstock.models import ConfigError, ModelTable, ServedModel

PRICES = [{"effective": "2026-01-01", "prompt": "1", "cached_prompt": "1", "completion": "1"}]
MODELS = ModelTable(
    ServedModel.model_validate({"name": name, "source": "x", "context_length": 64, "prices": PRICES})
    for name in ("demo", "acme/large")
)


@pytest.mark.parametrize(
    ("text", "demo", "large"),
    [
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("https://{model}.example/", "https://demo.example", "https://acme%2Flarge.example"),
        ("https://gpu.example/of/{model}", "https://gpu.example/of/demo", "https://gpu.example/of/acme%2Flarge"),
        (' {"demo": "http://a:1/", "acme/large": "https://b/c"}', "http://a:1", "https://b/c"),
    ],
)
def test_a_template_or_a_url_for_each_model(text: str, demo: str, large: str) -> None:
    urls = GpuUrls.read("PENSTOCK_GPU_URL", text, MODELS)
    assert (urls.of("demo"), urls.of("acme/large")) == (demo, large)


def test_a_host_has_its_port() -> None:
    urls = GpuUrls.parse('{"a": "https://Gpu.example/x", "b": "http://gpu.example", "c": "http://gpu.example:81"}')
    assert [urls.host(name) for name in "abc"] == [("gpu.example", 443), ("gpu.example", 80), ("gpu.example", 81)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must be an http or https URL without a query"),
        ("gpu.example", "must be an http or https URL without a query"),
        ("ftp://hush", "must be an http or https URL without a query"),
        ("https://hush?ticket=1", "must be an http or https URL without a query"),
        ("https://hush#1", "must be an http or https URL without a query"),
        ("https://hush:port", "must be an http or https URL without a query"),
        ("https://hush:0", "must be an http or https URL without a query"),
        ("https://[hush", "must be an http or https URL without a query"),
        ("{model}.hush", "begins as a JSON object and is none"),
        ('{"demo": "hush"}', "'demo': must be an http or https URL without a query"),
        ('{"demo": 7}', "'demo': must be a URL, without {model}"),
        ('{"demo": "https://{model}.hush"}', "'demo': must be a URL, without {model}"),
        ("https://" + "hush" * MAX_LENGTH, "must not be longer than 262,144 bytes"),
        ("{}", "has no URL for the model 'demo'"),
        ('{"demo": "https://hush"}', "has no URL for the model 'acme/large'"),
        (
            '{"demo": "https://hush", "acme/large": "https://hush", "small": "https://hush"}',
            "has a URL for 'small', which is no model's name in the table",
        ),
    ],
)
def test_what_is_wrong_is_told_in_one_line_without_the_url(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        GpuUrls.read("PENSTOCK_GPU_URL", text, MODELS)
    assert str(caught.value) == f"PENSTOCK_GPU_URL: {said}"
    assert "hush" not in str(caught.value)

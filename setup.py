"""Package metadata. Tool settings live in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(
    r'^VERSION = "([^"]+)"$', (HERE / "moesifasgi" / "version.py").read_text("utf-8"), re.MULTILINE
)
if VERSION is None:
    raise RuntimeError('moesifasgi/version.py must hold a line VERSION = "x.y.z"')

SERVERS = [
    "fastapi>=0.110.1",
    "gunicorn>=22.0",
    "httpx>=0.27",
    "uvicorn>=0.29",
    "uvicorn-worker>=0.2",
    "uvloop>=0.19; platform_python_implementation == 'CPython'",
    "httptools>=0.6",
    "python-multipart>=0.0.9",
]

# What the tests need that also run with the oldest Starlette and FastAPI.
TESTS = [
    *SERVERS,
    "h11>=0.14",
    "hypothesis>=6.100",
    "itsdangerous>=2.1",
    "psutil>=5.9",
    "pytest>=8.0",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.5",
    "trio>=0.25",
    "trustme>=1.1",
    "wsproto>=1.2",
]

FRAMEWORKS = ["blacksheep>=2.0.7", "django>=5.0", "falcon>=4.0", "litestar>=2.12", "quart>=0.20"]

setup(
    name="moesifasgi",
    version=VERSION.group(1),
    description="Moesif API analytics for ASGI applications, shipped from a process of its own",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["moesifasgi", "moesifasgi.*"]),
    package_data={"moesifasgi": ["py.typed"], "moesifasgi.inspector": ["*.html"]},
    entry_points={"console_scripts": ["moesif-shipper = moesifasgi.shipper.cli:main"]},
    install_requires=[
        "starlette>=0.37.2",
        "msgpack>=1.0.5",
        "multiprocess>=0.70.15",
        "requests>=2.31",
        "urllib3>=2.0",
        "moesifapi>=1.5.2",
        "orjson>=3.9.10",
        "isal>=1.5; platform_python_implementation == 'CPython'",
        "zlib-ng>=0.5; platform_python_implementation == 'CPython'",
        "click>=8.1",
        "prometheus_client>=0.19",
        "regex>=2024.4.16",
        "wrapt>=1.16",
    ],
    extras_require={
        "codings": ["brotli>=1.2", "zstandard>=0.22"],
        "servers": SERVERS,
        "oldest": TESTS,
        "test": [
            *TESTS,
            *FRAMEWORKS,
            "aiohttp>=3.12",
            "brotli>=1.2",
            "daphne>=4.1",
            "granian>=2.3",
            "httpx[http2]>=0.27",
            "httpx2>=2.0",
            "hypercorn>=0.17",
            "pyyaml>=6.0",
            "setuptools>=70.1",
            "zstandard>=0.22",
        ],
        "check": [
            "mypy>=1.10",
            "ruff>=0.6",
            "import-linter>=2.0",
            "types-regex>=2024.4.16",
            "types-requests>=2.31",
        ],
    },
    classifiers=[
        "Development Status :: 4 - Beta",
        "Framework :: AsyncIO",
        "Framework :: FastAPI",
        "Intended Audience :: Developers",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: System :: Monitoring",
        "Typing :: Typed",
    ],
)

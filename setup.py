"""Packaging: everything is read from settings.ini; edit there, not here."""
from configparser import ConfigParser
from pathlib import Path
import shlex

from setuptools import find_packages, setup

here = Path(__file__).parent
config = ConfigParser(delimiters=["="])
config.read(here/"settings.ini", encoding="utf-8")
cfg = config["DEFAULT"]

def reqs(key): return shlex.split(cfg.get(key, ""))
extras = {k.removesuffix("_requirements"): reqs(k) for k in cfg if k.endswith("_requirements")}
spdx = {"apache2": "Apache-2.0", "mit": "MIT", "bsd3": "BSD-3-Clause"}

setup(
    name=cfg["lib_name"], version=cfg["version"], description=cfg["description"],
    author=cfg["author"], author_email=cfg["author_email"], keywords=cfg["keywords"].split(),
    license=spdx[cfg["license"]], url=cfg["git_url"],
    python_requires=f">={cfg['min_python']}",
    packages=[*find_packages(include=[cfg["lib_path"], f"{cfg['lib_path']}.*"]), "pretrain.configs"],
    package_dir={"pretrain.configs": "configs"},
    package_data={"pretrain": ["play.html"], "pretrain.configs": ["*.toml", "*.json", "launch/*"]},
    install_requires=reqs("requirements"), extras_require=extras,
    long_description=(here/"README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown", zip_safe=False,
    entry_points={"console_scripts": reqs("console_scripts"),
                  "nbdev": [f"{cfg['lib_path']}={cfg['lib_path']}._modidx:d"]},
)

"""The one part of the packaging that needs code: `data/` travels inside the wheel as `course_lib._data`."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["course_lib", "course_lib.*"]), "course_lib._data"],
    package_dir={"course_lib._data": "data"},
)

"""Models built from `course_lib.nn`: each has one file and one config."""

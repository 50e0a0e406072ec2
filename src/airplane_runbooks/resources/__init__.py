"""The API's resources: methods that name what they take, each one statement over an operation."""

"""The account and the region that everything local belongs to."""

REGION = "us-east-1"
ACCOUNT_ID = "123456789012"

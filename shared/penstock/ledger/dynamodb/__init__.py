"""The ledger in one table of DynamoDB, for any number of processes anywhere."""

from penstock.ledger.dynamodb.ledger import DynamoLedger
from penstock.ledger.dynamodb.schema import adopt, create_table, delete_table
from penstock.ledger.dynamodb.table import prime

__all__ = ["DynamoLedger", "adopt", "create_table", "delete_table", "prime"]

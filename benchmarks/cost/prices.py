"""Prices as they are published, in dollars, without free tiers and without discounts for volume.

AWS's are those on demand in us-east-1; DynamoDB's are in `benchmarks.ledger.cost`. The pages that they are from, and
when they were looked up, are in docs/cost.md.
"""

GB = 1_024**3  # bytes
MONTH_S = 30 * 24 * 3_600

# -- API Gateway, REST. A streamed answer counts as a request for each 10 MB that it begins.
API_REQUEST = 3.50e-6
API_REQUEST_BYTES = 10 * 1_024**2

# -- Lambda
LAMBDA_REQUEST = 0.20e-6
LAMBDA_GB_S = {"arm64": 13.3334e-6, "x86_64": 16.6667e-6}
STREAMED_GB = 0.008  # of what a streamed answer has beyond STREAMED_FREE_BYTES
STREAMED_FREE_BYTES = 6 * 1_024**2
SNAPSHOT_GB_S = 1.5046e-6  # of each published version, by its memory, for as long as it exists
RESTORED_GB = 139.7998e-6  # of each environment that is started from one, by its memory

# -- the rest of AWS
OUT_GB = 0.09  # to the internet, the first 10 TB of a month
KMS_REQUEST = 0.03 / 10_000  # a SecureString is decrypted by KMS; Parameter Store itself is free
LOG_GB = 0.50
ALARM = 0.10  # of each metric that an alarm watches, a month
TRACE = 5e-6
WAF_ACL = 5.00  # a month
WAF_RULE = 1.00  # a month
WAF_REQUEST = 0.60e-6
RECOVERY_GB = 0.20  # of the table, a month
SECRET = 0.40  # of Secrets Manager, a month
MACHINE_MONTH = 730 * 0.0168  # EC2's t4g.small: two cores, 2 GiB

# -- Modal, for each second of a container
GPU_S = {"L4": 0.000222, "A10": 0.000306, "H100": 0.001097}
CORE_S = 0.0000131
GIB_S = 0.00000222

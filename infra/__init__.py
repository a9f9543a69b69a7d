"""How Penstock is deployed to AWS: what is packaged, and the locks it is packaged from."""

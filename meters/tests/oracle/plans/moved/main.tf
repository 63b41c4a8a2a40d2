module "net" {
  source = "./net"
  cidr   = "10.0.0.0/16"
}
moved {
  from = terraform_data.bucket
  to   = terraform_data.archive
}
resource "terraform_data" "archive" {}
removed {
  from = terraform_data.db
  lifecycle { destroy = false }
}
import {
  to = terraform_data.imported
  id = "from-elsewhere"
}
resource "terraform_data" "imported" {}
check "archive" {
  assert {
    condition     = terraform_data.archive.output == null
    error_message = "It keeps nothing."
  }
}

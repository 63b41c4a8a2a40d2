variable "size" { default = "large" }
module "net" {
  source = "./net"
  cidr   = "10.0.0.0/16"
}
resource "terraform_data" "web" {
  count      = 1
  input      = { subnet = module.net.subnet, size = var.size }
  depends_on = [terraform_data.db]
}
resource "terraform_data" "db" {
  for_each         = toset(["a.b", "c[d]"])
  input            = { subnet = module.net.subnet, key = each.key }
  triggers_replace = "now"
}
resource "terraform_data" "bucket" {}
output "web" { value = terraform_data.web[0].output }

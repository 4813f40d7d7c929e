# apply goes on once the operation has succeeded. The wait knows no failure: a failed operation is waited for until the
# timeout, so give it a realistic one. The CRD has to be there before `terraform plan`.
# The rule of its wait was executed by tests/gates.rs on objects from a real API server; Terraform and its provider were
# not run.
resource "kubernetes_manifest" "upgrade" {
  manifest = {
    apiVersion = "cloudop.dev/v1alpha1"
    kind       = "CloudOperation"
    metadata   = { name = "upgrade", namespace = "default" }
    spec = {
      provider       = { huaweiCceUpgrade = { region = "ap-southeast-3", projectId = "p1", clusterId = "c1" } }
      operationId    = "c271e39e-1a6e-4d3d-8fa8-2a36329c19d1"
      credentialsRef = { name = "huawei" }
    }
  }
  wait {
    condition {
      type   = "Succeeded"
      status = "True"
    }
  }
  timeouts {
    create = "2h"
  }
}

"""The vendors' own clients against the simulator. Reads a plan as JSON on standard input, prints what it learnt as JSON.

  clients.py read   signs in by each client, reads an operation of each kind, prints the decoded objects
  clients.py sign   signs recorded requests anew by the vendor's signer, prints each Authorization
"""

import json
import sys


def read(plan):
    return {
        "huaweicloudsdkcce": cce(plan["url"], plan["ca"], plan["cce"]),
        "huaweicloudsdkucs": ucs(plan["url"], plan["ca"], plan["ucs"]),
        "huaweicloudsdkiam": iam(plan["url"], plan["ca"], plan["iam"]),
        "otcextensions": otc(plan["url"], plan["ca"], plan["otc"]),
    }


def config(ca):
    from huaweicloudsdkcore.http.http_config import HttpConfig

    config = HttpConfig.get_default_config()
    config.ssl_ca_cert = ca
    return config


def cce(url, ca, plan):
    from huaweicloudsdkcce.v3 import CceClient, ShowJobRequest, ShowUpgradeWorkFlowRequest
    from huaweicloudsdkcore.auth.credentials import BasicCredentials

    credentials = BasicCredentials(plan["accessKey"], plan["secretKey"], plan["project"])
    credentials = credentials.with_security_token(plan["securityToken"])
    client = CceClient.new_builder().with_http_config(config(ca)).with_credentials(credentials).with_endpoint(url).build()
    workflow = ShowUpgradeWorkFlowRequest(cluster_id=plan["cluster"], upgrade_workflow_id=plan["workflow"])
    return {
        "workflow": client.show_upgrade_work_flow(workflow).to_json_object(),
        "job": client.show_job(ShowJobRequest(job_id=plan["job"])).to_json_object(),
    }


def ucs(url, ca, plan):
    from huaweicloudsdkcore.auth.credentials import GlobalCredentials
    from huaweicloudsdkucs.v1 import ShowFederationProgressRequest, UcsClient

    credentials = GlobalCredentials(plan["accessKey"], plan["secretKey"], plan["domain"])
    client = UcsClient.new_builder().with_http_config(config(ca)).with_credentials(credentials).with_endpoint(url).build()
    request = ShowFederationProgressRequest(clustergroupid=plan["fleet"])
    return client.show_federation_progress(request).to_json_object()


def iam(url, ca, plan):
    from huaweicloudsdkcore.auth.credentials import GlobalCredentials
    from huaweicloudsdkiam.v3 import (
        AuthScope,
        AuthScopeProject,
        IamClient,
        KeystoneCreateUserTokenByPasswordRequest,
        KeystoneCreateUserTokenByPasswordRequestBody,
        PwdAuth,
        PwdIdentity,
        PwdPassword,
        PwdPasswordUser,
        PwdPasswordUserDomain,
    )

    credentials = GlobalCredentials("unused", "unused", "unused")
    client = IamClient.new_builder().with_http_config(config(ca)).with_credentials(credentials).with_endpoint(url).build()
    user = PwdPasswordUser(PwdPasswordUserDomain(plan["domain"]), plan["username"], plan["password"])
    identity = PwdIdentity(["password"], PwdPassword(user))
    scope = AuthScope(project=AuthScopeProject(id=plan["project"]))
    body = KeystoneCreateUserTokenByPasswordRequestBody(PwdAuth(identity, scope))
    request = KeystoneCreateUserTokenByPasswordRequest(nocatalog="true", body=body)
    response = client.keystone_create_user_token_by_password(request)
    return {"token": response.to_json_object()["token"], "X-Subject-Token": response.x_subject_token}


def otc(url, ca, plan):
    import openstack
    import otcextensions.sdk

    connection = openstack.connect(
        auth_url=url + "/v3",
        username=plan["username"],
        password=plan["password"],
        user_domain_name=plan["domain"],
        project_id=plan["project"],
        region_name="eu-de",
        cacert=ca,
        load_yaml_config=False,
        load_envvars=False,
    )
    otcextensions.sdk.register_otc_extensions(connection)
    return connection.cce.get_job(plan["job"]).to_dict(computed=False)


def sign(requests):
    from urllib.parse import parse_qsl, urlsplit

    from huaweicloudsdkcore.auth.credentials import BasicCredentials
    from huaweicloudsdkcore.sdk_request import SdkRequest
    from huaweicloudsdkcore.signer.signer import Signer

    authorizations = []
    for recorded in requests:
        target = urlsplit(recorded["target"])
        request = SdkRequest(
            method=recorded["method"],
            host=recorded["headers"]["host"],
            resource_path=target.path,
            query_params=parse_qsl(target.query, keep_blank_values=True),
            header_params=dict(recorded["headers"]),
            body="",
        )
        signed = Signer(BasicCredentials(recorded["accessKey"], recorded["secretKey"])).sign(request)
        authorizations.append(signed.header_params["Authorization"])
    return authorizations


if __name__ == "__main__":
    commands = {"read": read, "sign": sign}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    print(json.dumps(commands[sys.argv[1]](json.load(sys.stdin))))

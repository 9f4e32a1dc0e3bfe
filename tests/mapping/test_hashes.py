from batcher.mapping.hashes import downstream_name, sync_target_key, tenant_id

CURRENT = (
    '{"syncTarget":{"cluster":"root:org:ws","name":"us-west1","uid":"syncTargetUID"},'
    '"cluster":"root:org:ws","namespace":"test"}'
)
LEGACY = CURRENT.replace('"cluster"', '"workspace"')


def test_the_vectors_of_the_syncer() -> None:
    assert downstream_name(CURRENT) == "kcp-33jbiactwhg0"
    assert downstream_name(LEGACY) == "kcp-hcbsa8z6c2er"
    assert tenant_id(CURRENT.replace('"test"', '""')) == "9Fn3Q4y5UDPmCOrYCujwdgCbD9SwOcKdcefYE7"
    assert sync_target_key("root:org:ws", "us-west1") == "6ohB8yeXhwqTQVuBzJRgqcRJTpRjX7yTZu5g5g"

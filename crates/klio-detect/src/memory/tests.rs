use super::*;

#[test]
fn tables_fill_their_shares() {
    let m = Memory::new(256 << 20);
    let most = [
        m.baselines.tuples.most(),
        m.baselines.doings.most(),
        m.baselines.peers.most(),
        m.credentials.table.most(),
        m.inventory.pods.most(),
        m.inventory.objects.most(),
        m.causes.table.most(),
    ];
    assert_eq!(most, [22, 20, 19, 20, 17, 18, 14].map(|n| (1 << n) / 8 * 7));
    assert!(Memory::new(0).baselines.actors.most() > 0);
}

import type { Clone } from '../vm/clone.ts'
import type { AllowedLine } from '../vm/console-failures.ts'
import { type CheckPlan, expect, type Recorder } from './checks.ts'
import { readStatus } from './first-boot.ts'

/** For a ready clone whose network is not needed for a while. */
export const firewallLostChecks = [
  {
    name: 'firewall-lost',
    group: 'image',
    title: 'is not ready without its firewall, and has no network without any',
  },
] as const satisfies readonly CheckPlan[]

/** What the console of such a clone may show. */
export const firewallLostLine: AllowedLine = {
  pattern: /seeder-firewall|seeder-first-boot|systemd-networkd/,
  reason: 'its firewall is removed on purpose',
}

const RULES_FILE = '/etc/seeder/firewall.nft'

/** Ways to damage the file of the rules. */
const damages = [
  {
    how: 'cut off',
    script: `head -c 300 ${RULES_FILE} >${RULES_FILE}.new; cat ${RULES_FILE}.new >${RULES_FILE}; rm ${RULES_FILE}.new`,
  },
  { how: 'empty', script: `: >${RULES_FILE}` },
  { how: 'gone', script: `rm ${RULES_FILE}` },
]

/** Removes a clone's firewall in every way. Its status has to report each of them, and only ssh may stay open. */
export async function checkFirewallLost(checks: Recorder<'firewall-lost'>, clone: Clone): Promise<void> {
  const { agent } = clone
  const restart = async (unit: string) =>
    (await agent.exec(['/bin/systemctl', 'restart', unit], { timeoutMs: 300_000 })).exitCode === 0
  const expectFailed = async (how: string) => {
    const { state, reason } = await readStatus(agent)
    expect(state === 'failed' && reason.includes('firewall: '), `${how}: the status is ${state}: ${reason}`)
  }
  await checks.run('firewall-lost', async () => {
    await agent.shell(`cp ${RULES_FILE} /run/firewall.nft; nft delete table inet seeder`)
    await expectFailed('its table was deleted')
    for (const { how, script } of damages) {
      await agent.shell(`nft delete table inet seeder 2>/dev/null || true; ${script}`)
      expect(!(await restart('seeder-firewall.service')), `${how}: it was loaded nevertheless`)
      expect(!(await restart('seeder-first-boot.service')), `${how}: first boot continued`)
      await expectFailed(how)
      const ports = await agent.shell('nft list chain inet seeder input | grep -o "dport [0-9]*" | sort -u')
      expect(ports.trim().split('\n').join() === 'dport 22,dport 546', `${how}: open ports are ${ports}`)
    }
    await agent.shell(`cat /run/firewall.nft >${RULES_FILE}; rm /run/seeder/firewall`)
    expect(
      !(await restart('systemd-networkd.service')),
      'the network started although no firewall was loaded',
    )
    expect(await restart('seeder-firewall.service'), 'the restored file is not loaded')
    expect(await restart('systemd-networkd.service'), 'the network does not start with the firewall restored')
    expect(await restart('seeder-first-boot.service'), 'first boot fails with the firewall restored')
    const { state, reason } = await readStatus(agent)
    expect(state === 'ready', `with the firewall restored, the status is ${state}: ${reason}`)
    return `deleted, ${damages.map(({ how }) => how).join(', ')}: failed, and only ssh is open`
  })
}

import type { Clone } from '../vm/clone.ts'
import type { AllowedLine } from '../vm/console-failures.ts'
import { type CheckPlan, expect, type Recorder } from './checks.ts'
import { guestStatus } from './guest-facts.ts'

/** For a ready clone whose network nobody needs for a while. */
export const firewallLostChecks = [
  {
    name: 'firewall-lost',
    group: 'image',
    title: 'is not ready without its firewall, and has no network without any',
  },
] as const satisfies readonly CheckPlan[]

/** What the console of such a clone may say. */
export const firewallLostLine: AllowedLine = {
  pattern: /seeder-firewall|seeder-first-boot|systemd-networkd/,
  reason: 'its firewall is taken away on purpose',
}

const wanted = '/etc/seeder/firewall.nft'

/** What may become of the file, each in its own way no firewall. */
const ruined = [
  {
    how: 'cut off',
    script: `head -c 300 ${wanted} >${wanted}.new; cat ${wanted}.new >${wanted}; rm ${wanted}.new`,
  },
  { how: 'empty', script: `: >${wanted}` },
  { how: 'gone', script: `rm ${wanted}` },
]

/** Takes a clone's firewall away in every way; each has to be seen in its status, and leave ssh alone open. */
export async function checkFirewallLost(checks: Recorder<'firewall-lost'>, clone: Clone): Promise<void> {
  const { agent } = clone
  const restart = async (unit: string) =>
    (await agent.exec(['/bin/systemctl', 'restart', unit], { timeoutMs: 300_000 })).exitCode === 0
  const refused = async (how: string) => {
    const { state, reason } = await guestStatus(agent)
    expect(state === 'failed' && reason.includes('firewall: '), `${how}: it says ${state}: ${reason}`)
  }
  await checks.run('firewall-lost', async () => {
    await agent.shell(`cp ${wanted} /run/firewall.nft; nft delete table inet seeder`)
    await refused('its table was deleted')
    for (const { how, script } of ruined) {
      await agent.shell(`nft delete table inet seeder 2>/dev/null || true; ${script}`)
      expect(!(await restart('seeder-firewall.service')), `${how}: it was loaded all the same`)
      expect(!(await restart('seeder-first-boot.service')), `${how}: first boot went on`)
      await refused(how)
      const ports = await agent.shell('nft list chain inet seeder input | grep -o "dport [0-9]*" | sort -u')
      expect(ports.trim().split('\n').join() === 'dport 22,dport 546', `${how}: open are ${ports}`)
    }
    await agent.shell(`cat /run/firewall.nft >${wanted}; rm /run/seeder/firewall`)
    expect(!(await restart('systemd-networkd.service')), 'there is a network although no firewall was loaded')
    expect(await restart('seeder-firewall.service'), 'the file that was put back is not loaded')
    expect(await restart('systemd-networkd.service'), 'with the firewall there is no network either')
    expect(await restart('seeder-first-boot.service'), 'first boot fails with the firewall put back')
    const { state, reason } = await guestStatus(agent)
    expect(state === 'ready', `put back, it says ${state}: ${reason}`)
    return `deleted, ${ruined.map(({ how }) => how).join(', ')}: failed, and ssh alone is open`
  })
}

import { expect, test } from 'vitest'
import { GuestAgent } from '../../../src/vm/agent.ts'
import { guestAgentPort } from '../../support/boot/guest-agent.ts'

test('runs a program with input and returns its output and exit status', async () => {
  const agent = new GuestAgent(guestAgentPort())
  const result = await agent.exec(['/bin/sh', '-c', 'cat; echo no >&2; exit 3'], { input: 'grün\n' })
  expect(result).toEqual({ exitCode: 3, stdout: 'grün\n', stderr: 'no\n' })
})

test('a program that is ended by a signal has the exit status of a shell', async () => {
  const agent = new GuestAgent(guestAgentPort())
  expect((await agent.exec(['/bin/sh', '-c', 'kill -9 $$'])).exitCode).toBe(137)
})

test('skips what an earlier request left in the port', async () => {
  const agent = new GuestAgent(guestAgentPort({ garbage: '{"return": {}}\n{"return": 1' }))
  await agent.ready(5000)
  expect(await agent.output(['/bin/echo', 'yes'])).toBe('yes\n')
})

test('repeats the synchronisation while the agent has not started', async () => {
  const agent = new GuestAgent(guestAgentPort({ deafForSyncs: 1 }))
  await agent.ready(10_000)
  expect(await agent.shell('echo up')).toBe('up\n')
})

test('fails when the agent does not answer', async () => {
  const agent = new GuestAgent(guestAgentPort({ deafForSyncs: 99 }))
  await expect(agent.ready(300)).rejects.toThrow('waited for the guest agent; it did not answer within 0 s')
})

test('simultaneous requests get their own answers', async () => {
  const agent = new GuestAgent(guestAgentPort())
  const words = ['one', 'two', 'three', 'four']
  expect(await Promise.all(words.map((word) => agent.output(['/bin/echo', '-n', word])))).toEqual(words)
})

test('a failing program is an error with the end of its output', async () => {
  const agent = new GuestAgent(guestAgentPort())
  await expect(agent.shell('echo broken >&2; exit 4')).rejects.toThrow(/it ended with 4: broken/)
})

test('a program that does not end in time is an error', async () => {
  const agent = new GuestAgent(guestAgentPort())
  await expect(agent.exec(['/bin/sleep', '2'], { timeoutMs: 200 })).rejects.toThrow(
    'it did not end within 200 ms',
  )
})

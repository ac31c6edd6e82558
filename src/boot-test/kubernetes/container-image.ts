import { createHash } from 'node:crypto'

/** The image's name, as containerd writes it. */
export const IMAGE_NAME = 'docker.io/seeder/test:1'
/** What a container of it prints. */
export const GREETING_LINE = 'a container of the test has run'

const BLOCK_SIZE = 512

/**
 * An OCI archive of an image with one layer and one program, which prints a line and ends with 0.
 * https://github.com/opencontainers/image-spec, image layout in a tar.
 */
export function containerImage(): Buffer {
  const layer = tar([{ path: 'greet', mode: 0o755, content: greetingProgram(`${GREETING_LINE}\n`) }])
  const config = json({
    architecture: 'amd64',
    os: 'linux',
    config: { Cmd: ['/greet'], WorkingDir: '/' },
    rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(layer)}`] },
  })
  const manifest = json({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: descriptor('application/vnd.oci.image.config.v1+json', config),
    layers: [descriptor('application/vnd.oci.image.layer.v1.tar', layer)],
  })
  const index = json({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [
      {
        ...descriptor('application/vnd.oci.image.manifest.v1+json', manifest),
        annotations: { 'io.containerd.image.name': IMAGE_NAME, 'org.opencontainers.image.ref.name': '1' },
      },
    ],
  })
  return tar([
    { path: 'oci-layout', mode: 0o644, content: json({ imageLayoutVersion: '1.0.0' }) },
    { path: 'index.json', mode: 0o644, content: index },
    ...[layer, config, manifest].map((blob) => ({
      path: `blobs/sha256/${sha256(blob)}`,
      mode: 0o644,
      content: blob,
    })),
  ])
}

/** A static x86-64 program without a libc: `write(1, text, length)`, then `exit(0)`. */
export function greetingProgram(text: string): Buffer {
  const message = Buffer.from(text)
  const base = 0x400000
  const headers = 64 + 56
  const code = Buffer.from(
    [
      [0xb8, 1, 0, 0, 0], // mov eax, 1 (write)
      [0xbf, 1, 0, 0, 0], // mov edi, 1 (standard output)
      [0x48, 0x8d, 0x35, 16, 0, 0, 0], // lea rsi, [rip + 16]: past the 16 bytes of code that follow
      [0xba, ...int32(message.length)], // mov edx, length
      [0x0f, 0x05], // syscall
      [0xb8, 60, 0, 0, 0], // mov eax, 60 (exit)
      [0x31, 0xff], // xor edi, edi
      [0x0f, 0x05], // syscall
    ].flat(),
  )
  const size = headers + code.length + message.length
  const elf = Buffer.alloc(headers)
  // The file's header: 64 bits, little endian, System V, executable, x86-64.
  elf.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
  elf.writeUInt16LE(2, 16)
  elf.writeUInt16LE(62, 18)
  elf.writeUInt32LE(1, 20)
  elf.writeBigUInt64LE(BigInt(base + headers), 24)
  elf.writeBigUInt64LE(64n, 32)
  elf.writeUInt16LE(64, 52)
  elf.writeUInt16LE(56, 54)
  elf.writeUInt16LE(1, 56)
  // Its one segment: all of the file, readable and executable.
  elf.writeUInt32LE(1, 64)
  elf.writeUInt32LE(5, 68)
  elf.writeBigUInt64LE(BigInt(base), 80)
  elf.writeBigUInt64LE(BigInt(base), 88)
  elf.writeBigUInt64LE(BigInt(size), 96)
  elf.writeBigUInt64LE(BigInt(size), 104)
  elf.writeBigUInt64LE(0x1000n, 112)
  return Buffer.concat([elf, code, message])
}

interface TarFile {
  readonly path: string
  readonly mode: number
  readonly content: Buffer
}

/** A tar archive (ustar) of regular files that belong to root, with the time 0. */
function tar(files: readonly TarFile[]): Buffer {
  const blocks = files.flatMap(({ path, mode, content }) => {
    const header = Buffer.alloc(BLOCK_SIZE)
    header.write(path, 0)
    header.write(octal(mode, 7), 100)
    header.write(octal(0, 7), 108)
    header.write(octal(0, 7), 116)
    header.write(octal(content.length, 11), 124)
    header.write(octal(0, 11), 136)
    header.write(`${' '.repeat(8)}0`, 148)
    header.write('ustar\x0000', 257)
    const sum = header.reduce((total, byte) => total + byte, 0)
    header.write(`${octal(sum, 6)}\0 `, 148)
    const padding = Buffer.alloc((BLOCK_SIZE - (content.length % BLOCK_SIZE)) % BLOCK_SIZE)
    return [header, content, padding]
  })
  return Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK_SIZE)])
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0')
}

function int32(value: number): number[] {
  return [0, 8, 16, 24].map((shift) => (value >>> shift) & 255)
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

function descriptor(mediaType: string, blob: Buffer) {
  return { mediaType, digest: `sha256:${sha256(blob)}`, size: blob.length }
}

function sha256(blob: Buffer): string {
  return createHash('sha256').update(blob).digest('hex')
}

/**
 * Files that no package ships and that a package's script makes: the pattern of the path, and the package; `$1` is the group
 * of the pattern. A file that is not listed here, and is no link to a file of a package, is reported without an owner.
 */
const madeFiles: readonly (readonly [RegExp, string])[] = [
  [/^\/var\/lib\/dpkg\/info\/([^/:]+?)(?::\w+)?\.[a-z0-9-]+$/, '$1'],
  [/^\/var\/lib\/dpkg\//, 'dpkg'],
  [/^\/etc\/alternatives\//, 'dpkg'],
  [/^\/etc\/dpkg\/origins\/default$/, 'base-files'],
  // mmdebstrap writes these for dpkg and, in an image that has it, for apt.
  [/^\/etc\/dpkg\/dpkg\.cfg\.d\/99mmdebstrap$/, 'dpkg'],
  [/^\/etc\/apt\/(apt\.conf\.d\/99mmdebstrap|sources\.list)$/, 'apt'],
  [/^\/var\/(lib|cache)\/apt\//, 'apt'],
  [/^\/var\/cache\/debconf\//, 'debconf'],
  [/^\/etc\/(passwd|group|shadow|gshadow|subuid|subgid)$/, 'base-passwd'],
  [/^\/etc\/(profile|motd|environment|fstab|hosts|hostname|mtab)$/, 'base-files'],
  [/^\/root\/\.(profile|bashrc)$/, 'base-files'],
  [/^\/usr\/local\/man$/, 'base-files'],
  [/^\/usr\/share\/info\/dir$/, 'base-files'],
  [/^\/var\/(spool\/mail|log\/README)$/, 'base-files'],
  [/^\/etc\/networks$/, 'netbase'],
  [/^\/etc\/hosts\.(allow|deny)$/, 'libwrap0'],
  [/^\/etc\/inputrc$/, 'readline-common'],
  [/^\/etc\/(nsswitch\.conf|ld\.so\.cache)$/, 'libc-bin'],
  [/^\/etc\/locale\.gen$/, 'locales'],
  [/^\/etc\/(default\/locale|locale\.conf|vconsole\.conf|machine-id)$/, 'systemd'],
  [/^\/var\/lib\/systemd\/catalog\/database$/, 'systemd'],
  [/^\/etc\/modules$/, 'kmod'],
  [/^\/etc\/(shells)$/, 'debianutils'],
  [/^\/var\/lib\/shells\.state$/, 'debianutils'],
  [/^\/etc\/security\/opasswd$/, 'libpam-modules'],
  [/^\/(etc\/pam\.d\/common-[a-z-]+|var\/lib\/pam\/[a-z-]+)$/, 'libpam-runtime'],
  [/^\/etc\/ssh\/sshd_config$/, 'openssh-server'],
  [/^\/var\/lib\/ucf\//, 'ucf'],
  [/^\/etc\/(ca-certificates\.conf|ssl\/certs\/ca-certificates\.crt)$/, 'ca-certificates'],
  [/^\/etc\/python3\/debian_config$/, 'python3'],
  [/^\/var\/lib\/python\/(python3\.\d+)_installed$/, '$1-minimal'],
  [/^\/var\/lib\/wtmpdb\//, 'libwtmpdb0'],
  [/^\/var\/lib\/systemd\/deb-systemd-(user-)?helper-/, 'init-system-helpers'],
  [/^\/etc\/apparmor\.d\/(local|tunables)\//, 'apparmor'],
  // depmod's, for the modules of one kernel.
  [/^\/usr\/lib\/modules\/([^/]+)\/modules\.[a-z.]+$/, 'linux-image-$1'],
]

/** The installed package whose script makes the file at `path`; undefined when none is known. */
export function makerOf(path: string, installed: ReadonlySet<string>): string | undefined {
  for (const [pattern, name] of madeFiles) {
    const found = pattern.exec(path)
    if (!found) continue
    const maker = name.replace('$1', found[1] ?? '')
    if (installed.has(maker)) return maker
  }
  return undefined
}

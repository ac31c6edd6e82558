import { z } from 'zod'
import type { HostReport, ReportedTemplate } from '../../host/report.ts'
import type { Channels } from '../channel/channels.ts'
import { compareVersions, parseTag } from '../format/tag.ts'

const clones = z
  .object({
    version: z.string(),
    vmid: z.int(),
    current: z.boolean(),
    /** Names of the VMs; the id of a VM whose name is unknown. */
    names: z.array(z.string()).readonly(),
  })
  .readonly()

/** The published versions after the template up to the promoted one, newest first; `ahead`: the other way round. */
const behindSchema = z.object({ by: z.array(z.string()).readonly(), ahead: z.boolean() }).readonly()

/** The status of an image on one host, or on GitHub alone. */
export const statusRowSchema = z
  .object({
    image: z.string(),
    /** Versions; null without one. */
    candidate: z.string().nullable(),
    promoted: z.string().nullable(),
    /** Null without a report of any host. */
    host: z.string().nullable(),
    /** The current template. */
    deployed: z.object({ version: z.string(), vmid: z.int() }).readonly().nullable(),
    /** The templates that have clones, newest version first. */
    clones: z.array(clones).readonly(),
    /** Compares the template with the promoted version; null without both. */
    behind: behindSchema.nullable(),
  })
  .readonly()

export type StatusRow = z.output<typeof statusRowSchema>
export type TemplateClones = z.output<typeof clones>
export type Behind = z.output<typeof behindSchema>

/** A row for each image and host, sorted by name. */
export function statusRows(
  channelsByImage: ReadonlyMap<string, Channels>,
  reports: readonly HostReport[],
): StatusRow[] {
  const images = new Set([
    ...channelsByImage.keys(),
    ...reports.flatMap(({ templates }) => templates.map(({ image }) => image)),
  ])
  const hosts = [...newestOfEach(reports).values()].sort((a, b) => compareNames(a.host, b.host))
  return [...images].sort(compareNames).flatMap((image): StatusRow[] => {
    const channels = channelsByImage.get(image)
    if (hosts.length === 0) return [rowOf(image, channels, undefined)]
    return hosts.map((report) => rowOf(image, channels, report))
  })
}

/** The latest report of each host. */
function newestOfEach(reports: readonly HostReport[]): Map<string, HostReport> {
  const sorted = reports.toSorted((a, b) => Date.parse(a.taken) - Date.parse(b.taken))
  return new Map(sorted.map((report) => [report.host, report]))
}

function rowOf(image: string, channels: Channels | undefined, report: HostReport | undefined): StatusRow {
  const templates = report?.templates.filter((template) => template.image === image) ?? []
  const current = templates.find((template) => template.current)
  const promoted = versionOf(channels?.promoted)
  return {
    image,
    candidate: versionOf(channels?.candidate),
    promoted,
    host: report?.host ?? null,
    deployed: current ? { version: current.version, vmid: current.vmid } : null,
    clones: clonesByTemplate(templates),
    behind:
      current && promoted !== null
        ? behind(
            current.version,
            promoted,
            channels?.versions.map(({ version }) => version),
          )
        : null,
  }
}

/** Compares a deployed version with the promoted one. */
export function behind(deployed: string, promoted: string, published: readonly string[] = []): Behind {
  const ahead = compareVersions(deployed, promoted) > 0
  const [low, high] = ahead ? [promoted, deployed] : [deployed, promoted]
  const by = [...new Set([...published, high])]
    .filter((version) => compareVersions(version, low) > 0 && compareVersions(version, high) <= 0)
    .sort((a, b) => compareVersions(b, a))
  return { by, ahead }
}

function clonesByTemplate(templates: readonly ReportedTemplate[]): TemplateClones[] {
  return templates
    .filter(({ clones }) => clones.length > 0)
    .toSorted((a, b) => compareVersions(b.version, a.version))
    .map(({ version, vmid, current, clones }) => ({
      version,
      vmid,
      current,
      names: clones.map((clone) => clone.name ?? String(clone.vmid)),
    }))
}

function versionOf(release: { readonly tag: string } | undefined): string | null {
  return parseTag(release?.tag ?? '')?.version ?? null
}

function compareNames(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true })
}

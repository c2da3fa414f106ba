/**
 * Where profiles are: built in, the project's `whichedit.yaml`, the user's own in the config folder, or any file by its path.
 * Without a name the project's is taken, then the built-in default.
 */
import { access, readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { writeWhole } from '../../disk.ts'
import { WhicheditError } from '../../errors.ts'
import { printable } from '../../printable.ts'
import { type Profile, parseProfile } from '../../scoring/profile.ts'
import { editSettings, readText, type SettingsChange } from '../../settings.ts'
import { suggest } from '../../suggest.ts'

/** The folders that profiles are looked for in: the package's root and the user's config folder. */
export interface ProfilePlaces {
  readonly root: string
  readonly configDir: string
}

/** Where a profile comes from. */
export interface ProfileFile {
  /** The name it can be asked for by; a path where it has none. */
  readonly name: string
  readonly file: string
  readonly source: 'built-in' | 'project' | 'user' | 'file'
}

/** A profile with its file and its text, comments and all. */
export interface FoundProfile extends ProfileFile {
  readonly text: string
  readonly profile: Profile
}

/** The project's own profile, in the folder the command is run in. */
export const PROJECT_PROFILE = 'whichedit.yaml'
/** What is taken where nothing is asked for and the project has none. */
export const DEFAULT_PROFILE = 'balanced'

const EXTENSION = '.yaml'

/**
 * Reads the profile that is asked for, with the changes that flags make to it.
 * @throws E_NO_PROFILE for a name that nothing has, E_SETTINGS with the place of every mistake, E_SETTINGS_MISSING, E_SETTINGS_UNREADABLE.
 */
export async function loadProfile(
  reference: string | undefined,
  places: ProfilePlaces,
  changes: readonly SettingsChange[] = [],
): Promise<FoundProfile> {
  const found = await findProfile(reference, places)
  const text = await readText(found.file)
  const profile = await parseProfile(text, found.file)
  if (changes.length === 0) return { ...found, text, profile }
  const changed = editSettings(text, changes, found.file)
  return { ...found, text: changed, profile: await parseProfile(changed, `${found.file} with flags`) }
}

/**
 * Finds the file of the profile that is asked for, without reading it.
 * @throws E_NO_PROFILE for a name that nothing has.
 */
export async function findProfile(reference: string | undefined, places: ProfilePlaces): Promise<ProfileFile> {
  if (reference !== undefined && /[\\/]|\.ya?ml$/.test(reference)) {
    return { name: reference, file: reference, source: 'file' }
  }
  const known = await listProfiles(places)
  const wanted = reference ?? (known.some(({ source }) => source === 'project') ? PROJECT_NAME : DEFAULT_PROFILE)
  // The user's own goes before a built-in one of the same name.
  const found = known.findLast(({ name }) => name === wanted)
  if (found !== undefined) return found
  const names = [...new Set(known.map(({ name }) => name))]
  const [nearest] = suggest(wanted, names)
  const hint = nearest === undefined ? '' : ` Did you mean ${nearest}?`
  throw new WhicheditError('E_NO_PROFILE', { wanted, known: names.join(', '), hint })
}

/** The name of the project's profile. */
const PROJECT_NAME = basename(PROJECT_PROFILE, EXTENSION)

/** Every profile that has a name: built-in ones, the user's, the project's. */
export async function listProfiles({ root, configDir }: ProfilePlaces): Promise<ProfileFile[]> {
  const [builtIn, user, project] = await Promise.all([
    listFolder(join(root, 'profiles'), 'built-in'),
    listFolder(join(configDir, 'profiles'), 'user'),
    listFolder('.', 'project'),
  ])
  return [...builtIn, ...user, ...project.filter(({ file }) => file === PROJECT_PROFILE)]
}

async function listFolder(folder: string, source: ProfileFile['source']): Promise<ProfileFile[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return []
    throw error
  })
  return names
    .filter((name) => name.endsWith(EXTENSION))
    .sort()
    .map((name) => ({ name: basename(name, EXTENSION), file: join(folder, name), source }))
}

/**
 * Writes a profile's text, whole or not at all.
 * @throws E_PROFILE_EXISTS where there is such a file already and it may not be replaced; E_NOT_WRITABLE, E_DISK_FULL.
 */
export async function writeProfile(file: string, text: string, force: boolean): Promise<void> {
  const exists = await access(file).then(
    () => true,
    () => false,
  )
  if (exists && !force) throw new WhicheditError('E_PROFILE_EXISTS', { file: printable(file) })
  await writeWhole(file, text)
}

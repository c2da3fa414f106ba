/** `profile list`: every profile that can be asked for by name. */
import { WhicheditError } from '../../errors.ts'
import { printable } from '../../printable.ts'
import { readProfile } from '../../scoring/profile.ts'
import { BaseCommand } from '../support/base.ts'
import { formatColumns } from '../support/columns.ts'
import { SCHEMA_VERSION } from '../support/failure.ts'
import { listProfiles, type ProfileFile } from '../support/profiles.ts'

/** A profile as it is listed; one that cannot be read has the reason instead of its title. */
interface ListedProfile extends ProfileFile {
  readonly title?: string
  readonly problem?: string
}

/** Lists profiles. */
export default class ProfileList extends BaseCommand {
  static override summary = "List the profiles: built-in ones, your own, the project's."
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --json']

  async run(): Promise<object> {
    await this.parse(ProfileList)
    const profiles = await Promise.all((await listProfiles(this.config)).map(describe))
    const rows = profiles.map(({ name, source, title, problem }) => [
      printable(name),
      source,
      printable(title ?? `cannot be read: ${problem}`),
    ])
    this.log(formatColumns([['PROFILE', 'FROM', 'TITLE'], ...rows], this.display().columns))
    this.log('\n`whichedit profile show PROFILE` prints one; `whichedit profile new` makes your own.')
    return { schemaVersion: SCHEMA_VERSION, profiles }
  }
}

async function describe(found: ProfileFile): Promise<ListedProfile> {
  try {
    return { ...found, title: (await readProfile(found.file)).title }
  } catch (error) {
    if (error instanceof WhicheditError) return { ...found, problem: error.message }
    throw error
  }
}

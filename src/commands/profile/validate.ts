/** `profile validate`: whether a profile can be used, with the place of every mistake if not. */
import { Args } from '@oclif/core'
import { printable } from '../../printable.ts'
import { BaseCommand } from '../support/base.ts'
import { SCHEMA_VERSION } from '../support/failure.ts'
import { loadProfile } from '../support/profiles.ts'

/** Checks a profile. */
export default class ProfileValidate extends BaseCommand {
  static override summary = 'Check a profile; every mistake is told with its line and column.'
  static override examples = ['<%= config.bin %> <%= command.id %> ./whichedit.yaml']
  static override args = {
    profile: Args.string({ description: "a name or a file; without it the project's, then the default" }),
  }

  async run(): Promise<object> {
    const { args } = await this.parse(ProfileValidate)
    const { file, profile } = await loadProfile(args.profile, this.config)
    this.log(`${printable(file)} is valid: ${printable(profile.title)}`)
    return { schemaVersion: SCHEMA_VERSION, file, valid: true, title: profile.title }
  }
}

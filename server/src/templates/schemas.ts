/** The shapes of the calls about templates. */
import { type Static, Type } from 'typebox';
import { type TemplateKind, templateKinds, type VariableType, variableTypes } from './template.ts';

const closed = { additionalProperties: false } as const;
const nullable = { type: ['string', 'null'] as ['string', 'null'] };
const Source = (description: string) => Type.Optional(Type.String({ maxLength: 1_000_000, description }));

const ContentFields = {
  subject: Source('Liquid; one line'),
  html: Source('Liquid; what variables hold is escaped, unless `| raw` is asked for'),
  mjml: Source('Liquid in MJML, a whole `<mjml>` document, in place of `html`'),
  text: Source('Liquid; made of the HTML where absent'),
};
export const ContentBody = Type.Object(ContentFields, closed);

export const VariableBody = Type.Object(
  {
    name: Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]{0,63}$', examples: ['first_name'] }),
    type: Type.Optional(Type.Unsafe<VariableType>({ type: 'string', enum: [...variableTypes] })),
    required: Type.Optional(
      Type.Boolean({ default: false, description: 'A letter without it is refused; else it is `default`, or nothing' }),
    ),
    default: Type.Optional(Type.Unknown()),
    description: Type.Optional(Type.String({ maxLength: 500 })),
  },
  closed,
);

const Name = Type.String({
  pattern: '^[a-z0-9](?:[a-z0-9._-]{0,98}[a-z0-9])?$',
  description:
    'Unique in the tenant: lower-case letters, digits, ".", "_" and "-". A template named like a letter of Postern\'s ' +
    'own (`postern.verify_email`, `postern.reset_password`, …) is sent in its place.',
  examples: ['order-confirmation'],
});
const Language = Type.String({
  maxLength: 35,
  pattern: '^[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*$',
  description: 'BCP 47',
  examples: ['en', 'de-AT'],
});
const Contents = Type.Record(Type.String(), ContentBody, {
  maxProperties: 50,
  description: 'By language tag (BCP 47)',
  examples: [{ en: { subject: 'Hello {{ name }}', html: '<p>Hello {{ name }}</p>' } }],
});

const draft = {
  description: Type.Optional(Type.Unsafe<string | null>({ ...nullable, maxLength: 500 })),
  layout: Type.Optional(
    Type.Unsafe<string | null>({ ...nullable, maxLength: 100, description: 'Id or name of a template of kind layout' }),
  ),
  default_language: Type.Optional({ ...Language, description: 'For letters in a language that is not there' }),
  variables: Type.Optional(
    Type.Array(VariableBody, {
      maxItems: 200,
      description: 'Where absent: those that the text uses, all required',
    }),
  ),
  secrets: Type.Optional(
    Type.Array(Type.String({ maxLength: 64 }), { maxItems: 200, description: 'Variables that history must not show' }),
  ),
};

export const NewTemplateBody = Type.Object(
  {
    name: Name,
    kind: Type.Optional(
      Type.Unsafe<TemplateKind>({
        type: 'string',
        enum: [...templateKinds],
        default: 'letter',
        description: '`layout`: the frame of other templates, with `{{ content }}` where they go',
      }),
    ),
    ...draft,
    contents: Contents,
  },
  closed,
);
export type NewTemplateBody = Static<typeof NewTemplateBody>;

export const PutTemplateBody = Type.Object({ name: Type.Optional(Name), ...draft, contents: Contents }, closed);
export type PutTemplateBody = Static<typeof PutTemplateBody>;

export const PatchTemplateBody = Type.Object(
  {
    name: Type.Optional(Name),
    ...draft,
    variables: Type.Optional(
      Type.Union([Type.Array(VariableBody, { maxItems: 200 }), Type.Null()], {
        description: '`null`: those that the text uses',
      }),
    ),
    contents: Type.Optional(
      Type.Record(Type.String(), Type.Union([ContentBody, Type.Null()]), {
        maxProperties: 50,
        description: 'Languages that are not named stay as they are; `null` removes one',
      }),
    ),
  },
  closed,
);
export type PatchTemplateBody = Static<typeof PatchTemplateBody>;

const summary = {
  id: Type.Unsafe<string | null>({ ...nullable, description: "Null for a letter of Postern's own" }),
  name: Type.String(),
  kind: Type.String(),
  description: Type.Unsafe<string | null>(nullable),
  version: Type.Integer(),
  languages: Type.Array(Type.String()),
  created_at: Type.Unsafe<string | null>(nullable),
  updated_at: Type.Unsafe<string | null>(nullable),
};

export const TemplateList = Type.Object({ data: Type.Array(Type.Object(summary)), has_more: Type.Boolean() });
export const TemplateDetail = Type.Object({
  ...summary,
  layout: Type.Unsafe<string | null>({ ...nullable, description: 'Its name' }),
  default_language: Type.String(),
  variables: Type.Array(
    Type.Object({
      name: Type.String(),
      type: Type.Optional(Type.String()),
      required: Type.Optional(Type.Boolean()),
      default: Type.Optional(Type.Unknown()),
      description: Type.Optional(Type.String()),
    }),
  ),
  secrets: Type.Array(Type.String()),
  contents: Type.Record(Type.String(), Type.Object(ContentFields)),
});

export const TemplateId = Type.Object({ id: Type.String({ maxLength: 100, description: 'Id or name' }) });
export const VersionQuery = Type.Object(
  { version: Type.Optional(Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 })) },
  closed,
);
export const ListQuery = Type.Object(
  {
    kind: Type.Optional(Type.Unsafe<TemplateKind>({ type: 'string', enum: [...templateKinds] })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 })),
    after: Type.Optional(Type.String({ maxLength: 100, description: 'The last `name` of the page before' })),
  },
  closed,
);

export const VersionsQuery = Type.Object(
  {
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 })),
    after: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1, description: 'The last `version` of the page before' }),
    ),
  },
  closed,
);
export const VersionList = Type.Object({
  data: Type.Array(
    Type.Object({
      version: Type.Integer(),
      languages: Type.Array(Type.String()),
      created_at: Type.String({ format: 'date-time' }),
      created_by: Type.Unsafe<string | null>(nullable),
    }),
    { description: 'Newest first' },
  ),
  has_more: Type.Boolean(),
});

const Version = Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 });
const use = {
  variables: Type.Optional(Type.Record(Type.String(), Type.Unknown(), { examples: [{ name: 'Ada' }] })),
  language: Type.Optional(Language),
  version: Type.Optional(Version),
};
export const RestoreBody = Type.Object({ version: Version }, closed);
export const PreviewBody = Type.Object(use, closed);
export const TestBody = Type.Object(
  { to: Type.String({ maxLength: 1_000, description: 'One address' }), ...use },
  closed,
);
export const Preview = Type.Object({
  subject: Type.String(),
  html: Type.Unsafe<string | null>(nullable),
  text: Type.Unsafe<string | null>(nullable),
});

/** The field `template` of a letter. */
export const TemplateField = Type.Object(
  {
    id: Type.String({ maxLength: 100, description: 'Id or name' }),
    variables: use.variables,
    language: Type.Optional({ ...Language, description: 'BCP 47; `de-AT` is content with `de`' }),
    version: Type.Optional({ ...Version, description: 'The newest where absent' }),
  },
  { ...closed, description: 'In place of `subject`, `html` and `text`' },
);

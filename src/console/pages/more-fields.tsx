import { Fragment, type JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { FORM, FORM_SECTIONS } from '../../domain/form-fields.ts';
import { FORM_FIELDS } from '../../domain/job-form.ts';
import { definitionOf, type Draft, fieldOf } from '../form.ts';
import { FormInput, type JobFormProps } from './fields.tsx';

export function More(props: JobFormProps): JSX.Element {
  const [isOpen, setOpen] = useState(false);
  const isNeeded = isMoreSaid(props.draft);
  // It opens by itself, and never closes: somebody may be in the field that they just emptied.
  useEffect(() => {
    if (isNeeded) setOpen(true);
  }, [isNeeded]);
  return (
    <details open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>More</summary>
      {Object.entries(FORM_SECTIONS).map(([section, title]) => (
        <Fragment key={section}>
          <h3>{title}</h3>
          {MORE_FIELDS.filter((field) => FORM[field].section === section).map((field) => (
            <FormInput {...props} key={field} field={field} />
          ))}
        </Fragment>
      ))}
    </details>
  );
}

const MORE_FIELDS = FORM_FIELDS.filter((field) => FORM[field].section !== undefined);

/** Whether anything is said there, or typed that cannot be read. */
function isMoreSaid(draft: Draft): boolean {
  const { definition, problems } = definitionOf(draft);
  return MORE_FIELDS.some((field) => definition[field] !== undefined || problems.some((one) => fieldOf(one) === field));
}
